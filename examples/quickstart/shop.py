"""The shop: asks the model at every visit, and says later how the visit ended."""

import random
import threading
import time
from math import exp

import seatrial as st

VISITS_PER_SECOND = 50
THREADS = 10

client = st.Client()


def visit() -> None:
    customer = f"customer-{random.randrange(20_000)}"
    seen = {"pages": random.randint(1, 9), "minutes": random.uniform(0, 15)}
    answer = client.predict("purchase", seen, unit=customer, path="/predict")

    bought = random.random() < 1 / (1 + exp(1.0 - 0.5 * seen["pages"] + 0.2 * seen["minutes"]))
    st.log_outcome("purchase", answer.id, "bought", int(bought))


def visits() -> None:
    while True:
        visit()
        time.sleep(THREADS / VISITS_PER_SECOND)


for _ in range(THREADS):
    threading.Thread(target=visits).start()
