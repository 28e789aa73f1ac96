"""From events to evidence: Ibis expressions and the engines that run them. The only place that knows Ibis."""
