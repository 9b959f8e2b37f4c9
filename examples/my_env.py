"""An environment of your own: `qlearn train examples/my_env.py:Lander`.

One plain function each for the start, a step, and what is seen. It runs as it stands: as plain
Python, compiled on many cores or a GPU, under Gymnasium. `qlearn check` tells every mistake.
"""

from qlearn.rng import uniform

GRAVITY = 1.6
THRUST = 4.0
SECONDS = 0.1
SOFT = 1.0  # the fastest speed that the legs can take


class Lander:
    """Come down softly: fire the engine or fall, on a tank that does not last."""

    actions = 2  # 0 falls, 1 fires the engine
    observation = (3,)
    max_steps = 300
    state = {"height": "float64", "speed": "float64", "fuel": "float64"}

    def reset(state, rng):
        state.height = 8.0 + 4.0 * uniform(rng)
        state.speed = -2.0 * uniform(rng)
        state.fuel = 1.0

    def step(state, action, rng):
        fires = action == 1 and state.fuel > 0.0
        if fires:
            state.fuel -= 0.02
        state.speed += SECONDS * (THRUST * fires - GRAVITY)
        state.height += SECONDS * state.speed
        if state.height > 0.0:
            return 0.0, False
        softly = state.speed > -SOFT
        return (1.0 + state.fuel if softly else 0.2 * state.speed), True

    def observe(state, obs):
        obs[0] = 0.1 * state.height
        obs[1] = 0.2 * state.speed
        obs[2] = state.fuel
