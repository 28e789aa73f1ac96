// Everything a page does beyond being read. Each part works alone; without scripts the pages still show and forms still act.
import { hint } from "./hints.js";
import { live } from "./live.js";
import { asks } from "./ask.js";
import { filter } from "./filter.js";

hint();
live();
asks();
filter();
