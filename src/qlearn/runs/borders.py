"""When something is due again: after so many steps or episodes, whichever comes first."""

from __future__ import annotations


class Border:
    """Depends on what was trained alone, never on the clock, so that runs can be repeated."""

    def __init__(
        self, steps: int, episodes: int = 0, least: int = 0, least_share: float = 0.0
    ) -> None:
        """Every `steps` steps or `episodes` episodes (0: never by these), `least` steps apart.

        With `least_share`, also that share of all steps so far: what goes on for ever gets rare.
        """
        self.every = (steps, episodes)
        self.least, self.least_share = least, least_share
        self.passed(0, 0)

    def passed(self, steps: int, episodes: int) -> None:
        """It has been done now; the next time counts from here."""
        by_steps, by_episodes = self.every
        least = max(self.least, int(self.least_share * steps))
        self.steps = steps + max(by_steps, least) if by_steps else 0
        self.episodes = episodes + by_episodes if by_episodes else 0
        self.earliest = steps + least

    def due(self, steps: int, episodes: int) -> bool:
        reached = 0 < self.steps <= steps or 0 < self.episodes <= episodes
        return reached and steps >= self.earliest

    def next_steps(self, episodes: int) -> int:
        """The steps at which to look again; 0 where steps alone bring nothing."""
        if 0 < self.episodes <= episodes:  # only `least` is waited for
            return self.earliest
        return self.steps

    def get_state(self) -> list[int]:
        return [self.steps, self.episodes, self.earliest]

    def set_state(self, state: list[int]) -> None:
        self.steps, self.episodes, self.earliest = state
