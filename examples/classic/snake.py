"""Snake by deep Q-learning the way most people first write it: slow for reasons to learn from.

One game at a time, lists that are searched, tensors made of lists, a training step on a single
sample after every move, and a loop over a thousand of them after every game. The rules are those of
qlearn's `snake` with eleven features, except that a game begins in the middle, heading right, is
lost after 100 moves for each block of the snake, and pays +10 and -10.

    python examples/classic/snake.py [--size 10] [--seconds 120] [--seed 0]
"""

import argparse
import random
import time
from collections import deque, namedtuple
from enum import Enum

import numpy as np
import torch
from deep_q_learning import Linear_QNet, QTrainer

MAX_MEMORY = 100_000
BATCH_SIZE = 1000
LR = 0.001


class Direction(Enum):
    RIGHT = 1
    LEFT = 2
    UP = 3
    DOWN = 4


Point = namedtuple("Point", "x, y")
CLOCKWISE = [Direction.RIGHT, Direction.DOWN, Direction.LEFT, Direction.UP]


class SnakeGame:
    """The board; the snake's head comes first in its list."""

    def __init__(self, size=10):
        self.size = size
        self.reset()

    def reset(self):
        self.direction = Direction.RIGHT
        self.head = Point(self.size // 2, self.size // 2)
        self.snake = [self.head, *(Point(self.head.x - k, self.head.y) for k in (1, 2))]
        self.score = 0
        self.moves = 0
        self.place_food()

    def place_food(self):
        self.food = Point(random.randint(0, self.size - 1), random.randint(0, self.size - 1))
        if self.food in self.snake:
            self.place_food()

    def play_step(self, action):
        """(reward, game over, score); an action is one-hot: straight, right, left."""
        self.moves += 1
        self.turn(action)
        head = self.ahead(self.direction)
        if self.is_collision(head) or self.moves > 100 * len(self.snake):
            return -10, True, self.score
        self.head = head
        self.snake.insert(0, self.head)
        if self.head != self.food:
            self.snake.pop()
            return 0, False, self.score
        self.score += 1
        if len(self.snake) == self.size * self.size:
            return 10, True, self.score
        self.place_food()
        return 10, False, self.score

    def turn(self, action):
        at = CLOCKWISE.index(self.direction)
        if np.array_equal(action, [0, 1, 0]):
            self.direction = CLOCKWISE[(at + 1) % 4]
        elif np.array_equal(action, [0, 0, 1]):
            self.direction = CLOCKWISE[(at - 1) % 4]

    def ahead(self, direction):
        x, y = self.head
        if direction == Direction.RIGHT:
            x += 1
        elif direction == Direction.LEFT:
            x -= 1
        elif direction == Direction.DOWN:
            y += 1
        elif direction == Direction.UP:
            y -= 1
        return Point(x, y)

    def is_collision(self, point):
        """The tail's cell is free: it moves on."""
        if point.x < 0 or point.x >= self.size or point.y < 0 or point.y >= self.size:
            return True
        return point in self.snake[:-1]


class Agent:
    """Remembers, explores less with every game, learns."""

    def __init__(self):
        self.n_games = 0
        self.gamma = 0.9
        self.memory = deque(maxlen=MAX_MEMORY)
        self.model = Linear_QNet(11, 256, 3)
        self.trainer = QTrainer(self.model, lr=LR, gamma=self.gamma)

    def get_state(self, game):
        at = CLOCKWISE.index(game.direction)
        straight, right, left = (CLOCKWISE[(at + turn) % 4] for turn in (0, 1, -1))
        state = [
            game.is_collision(game.ahead(straight)),
            game.is_collision(game.ahead(right)),
            game.is_collision(game.ahead(left)),
            game.direction == Direction.LEFT,
            game.direction == Direction.RIGHT,
            game.direction == Direction.UP,
            game.direction == Direction.DOWN,
            game.food.x < game.head.x,
            game.food.x > game.head.x,
            game.food.y < game.head.y,
            game.food.y > game.head.y,
        ]
        return np.array(state, dtype=int)

    def remember(self, state, action, reward, next_state, done):
        self.memory.append((state, action, reward, next_state, done))

    def train_long_memory(self):
        if len(self.memory) > BATCH_SIZE:
            sample = random.sample(self.memory, BATCH_SIZE)
        else:
            sample = self.memory
        states, actions, rewards, next_states, dones = zip(*sample, strict=True)
        self.trainer.train_step(states, actions, rewards, next_states, dones)

    def train_short_memory(self, state, action, reward, next_state, done):
        self.trainer.train_step(state, action, reward, next_state, done)

    def get_action(self, state):
        epsilon = 80 - self.n_games
        action = [0, 0, 0]
        if random.randint(0, 200) < epsilon:
            action[random.randint(0, 2)] = 1
        else:
            prediction = self.model(torch.tensor(state, dtype=torch.float))
            action[torch.argmax(prediction).item()] = 1
        return action


def play_game(agent, game):
    """One game, learned from at every move and once more at its end; its score."""
    game.reset()
    done = False
    while not done:
        state = agent.get_state(game)
        action = agent.get_action(state)
        reward, done, score = game.play_step(action)
        next_state = agent.get_state(game)
        agent.train_short_memory(state, action, reward, next_state, done)
        agent.remember(state, action, reward, next_state, done)
    agent.n_games += 1
    agent.train_long_memory()
    return score


def train(size=10, seconds=120.0, seed=None):
    """Plays games for so long; the mean score after each, as people plot it."""
    random.seed(seed)
    if seed is not None:
        torch.manual_seed(seed)
    mean_scores = []
    total_score = record = 0
    agent = Agent()
    game = SnakeGame(size)
    begun = time.time()
    while time.time() - begun < seconds:
        score = play_game(agent, game)
        if score > record:
            record = score
            agent.model.save()
        total_score += score
        mean_scores.append(total_score / agent.n_games)
        print("Game", agent.n_games, "Score", score, "Record", record, flush=True)
    return mean_scores


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--seed", type=int)
    options = parser.parse_args()
    train(options.size, options.seconds, options.seed)
