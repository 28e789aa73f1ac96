"""Whole releases without traffic: the real gates and the real decisions over synthetic or recorded exposures."""

from seatrial.rollout.simulate.records import Population as Population
from seatrial.rollout.simulate.records import Values as Values
from seatrial.rollout.simulate.run import Outcome as Outcome
from seatrial.rollout.simulate.run import grid_of as grid_of
from seatrial.rollout.simulate.run import release as release
from seatrial.rollout.simulate.run import simulate as simulate
