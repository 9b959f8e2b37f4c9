"""CartPole: Gymnasium's CartPole-v1, transition for transition, as plain functions."""

from __future__ import annotations

from qlearn.rng import uniform

GRAVITY = 9.8
POLE_MASS = 0.1
TOTAL_MASS = 1.1
HALF_LENGTH = 0.5
POLE_MASS_LENGTH = 0.05
FORCE = 10.0
SECONDS = 0.02
ANGLE_LIMIT = 12 * 2 * 3.141592653589793 / 360
POSITION_LIMIT = 2.4
PER_MASS = 1.0 / 1.1


def sine(angle):
    """Taylor's series: 1e-17 off at the angles a pole still stands at (below 0.25).

    Products and sums give the same bits on every processor, which libm's sine does not, and cost
    a third of it.
    """
    q = angle * angle
    return angle * (
        1.0 - q * (1 / 6 - q * (1 / 120 - q * (1 / 5040 - q * (1 / 362880 - q * (1 / 39916800)))))
    )


def cosine(angle):
    """The same for the cosine."""
    q = angle * angle
    return 1.0 - q * (1 / 2 - q * (1 / 24 - q * (1 / 720 - q * (1 / 40320 - q * (1 / 3628800)))))


class CartPole:
    """Balance a pole on a cart: Gymnasium's CartPole-v1 (4 numbers seen, push left or right)."""

    actions = 2
    action_names = ("left", "right")
    observation = (4,)
    bounds = ((-2.4, 2.4), (-3.0, 3.0), (-0.21, 0.21), (-3.5, 3.5))  # as far as it gets
    max_steps = 500
    # A pole that drifts falls after the limit: far-sighted, and trained beyond it, it stays up.
    settings = {
        "pqn": {
            "steps": 400_000, "average": 0.999, "discount": 0.998, "lambda_": 0.95, "overtime": 2.0,
            "until_every": 2048,
        },
        "dqn": {"steps": 50_000, "until_every": 2048},
    }  # fmt: skip
    measures = ("mean_abs_angle", "mean_abs_position")
    options = {
        "max_steps": 500,
        "shape_angle": 0.0,
        "shape_position": 0.0,
        "shape_velocity": 0.0,
    }
    state = {
        "position": "float64",
        "velocity": "float64",
        "angle": "float64",
        "spin": "float64",
        "steps": "int64",
    }

    @staticmethod
    def reset(state, rng):
        state.position = 0.1 * uniform(rng) - 0.05
        state.velocity = 0.1 * uniform(rng) - 0.05
        state.angle = 0.1 * uniform(rng) - 0.05
        state.spin = 0.1 * uniform(rng) - 0.05
        state.steps = 0

    @staticmethod
    def step(state, action, rng, world):
        position, velocity, angle, spin = state.position, state.velocity, state.angle, state.spin
        force = FORCE if action == 1 else -FORCE
        sin, cos = sine(angle), cosine(angle)

        push = (force + POLE_MASS_LENGTH * spin * spin * sin) * PER_MASS
        spin_rate = (GRAVITY * sin - cos * push) / (
            HALF_LENGTH * (4.0 / 3.0 - POLE_MASS * cos * cos * PER_MASS)
        )
        acceleration = push - POLE_MASS_LENGTH * spin_rate * cos * PER_MASS

        position += SECONDS * velocity
        velocity += SECONDS * acceleration
        angle += SECONDS * spin
        spin += SECONDS * spin_rate

        state.position, state.velocity, state.angle, state.spin = position, velocity, angle, spin
        state.steps += 1
        fallen = abs(position) > POSITION_LIMIT or abs(angle) > ANGLE_LIMIT
        reward = (
            1.0
            - world.shape_angle * abs(angle)
            - world.shape_position * abs(position)
            - world.shape_velocity * abs(velocity)
        )
        return reward, fallen

    @staticmethod
    def observe(state, obs):
        obs[0] = state.position
        obs[1] = state.velocity
        obs[2] = state.angle
        obs[3] = state.spin

    @staticmethod
    def score(state):
        return float(state.steps)

    @staticmethod
    def measure(state, sums):
        sums[0] += abs(state.angle)
        sums[1] += abs(state.position)

    @staticmethod
    def draw(state, world):
        width = 61
        cart = round((state.position / POSITION_LIMIT + 1) / 2 * (width - 1))
        height = 7
        rows = [[" "] * width for _ in range(height)]
        for k in range(height):
            column = round(cart + 12 * state.angle * (height - k))
            if 0 <= column < width:
                rows[k][column] = "|"
        track = ["-"] * width
        for column in range(cart - 2, cart + 3):
            if 0 <= column < width:
                track[column] = "#"
        return "\n".join("".join(row) for row in [*rows, track])
