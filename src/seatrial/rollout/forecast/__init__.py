"""What a plan can see on given traffic, how long it takes and what it risks, said before anything starts."""

from seatrial.rollout.forecast.schedule import Forecast as Forecast
from seatrial.rollout.forecast.schedule import forecast as forecast
from seatrial.rollout.forecast.sight import Sight as Sight
from seatrial.rollout.forecast.sight import sights as sights
from seatrial.rollout.forecast.traffic import Traffic as Traffic
from seatrial.rollout.forecast.traffic import declare as declare
from seatrial.rollout.forecast.traffic import observe as observe
