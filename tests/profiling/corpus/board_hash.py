# rule: scalar-numpy
# ruff: noqa
import random

import numpy as np


def number_of(board):
    """A board as a number in base three."""
    number = 0
    for cell in np.nditer(board):
        number = number * 3 + cell + 1
    return int(number)


def won(board, row, column):
    side = board[row, column]
    cells = board.tolist()
    return all(cells[row][j] == side for j in range(3)) or all(
        cells[i][column] == side for i in range(3)
    )


def play(values, epsilon):
    board, places, visited = np.zeros((3, 3)), list(range(9)), []
    side, result = 1, 0
    while places and not result:
        random.shuffle(places)
        place, best = places[0], -2.0
        if random.random() > epsilon:
            for tried in places[:4]:
                board[tried // 3, tried % 3] = side
                value = side * values.get(number_of(board), 0.0)
                board[tried // 3, tried % 3] = 0
                if value > best:
                    place, best = tried, value
        places.remove(place)
        board[place // 3, place % 3] = side
        visited.append(number_of(board))
        result = side if won(board, place // 3, place % 3) else 0
        side = -side
    return visited, result


def learn(games):
    values = {}
    for game in range(games):
        visited, following = play(values, max(0.05, 1 - 2 * game / games))
        for number in reversed(visited):
            old = values.get(number, 0.0)
            values[number] = old + 0.2 * (following - old)
            following = values[number]
    return values


print(len(learn(1_500)))
