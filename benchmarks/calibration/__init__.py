"""Whole releases, simulated by the thousand: how often is each method wrong, how often and how soon is it right?"""
