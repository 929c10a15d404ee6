"""Keys, input, names and calls between actors."""

from pydantic import BaseModel

from rivetless import Actor, UserError, action


class PlayerState(BaseModel):
    wins: int = 0


class Player(Actor[PlayerState], icon="user"):
    """A player. The key is the name."""

    @action
    async def won(self) -> int:
        """Count a win."""
        self.state.wins += 1
        return self.state.wins

    @action
    async def wins(self) -> int:
        """Return how often this player has won."""
        return self.state.wins


# --8<-- [start:input]
class GameInput(BaseModel):
    players: list[str]
    target: int = 10


class GameState(BaseModel):
    points: dict[str, int]
    target: int
    winner: str | None = None


class Game(Actor[GameState], name="game", display_name="A game", icon="dice"):
    """A game of some players. The key is the league and the game's number."""

    async def create_state(self, input: GameInput) -> GameState:
        if not input.players:
            raise UserError("A game needs players.", code="no_players")
        return GameState(points=dict.fromkeys(input.players, 0), target=input.target)

    # --8<-- [end:input]

    # --8<-- [start:call]
    @action
    async def score(self, player: str, points: int) -> GameState:
        """Give a player points; tell the player's own actor of a victory."""
        if self.state.winner is not None:
            raise UserError("The game is over.", code="over")
        self.state.points[player] += points
        if self.state.points[player] >= self.state.target:
            self.state.winner = player
            await self.client.get_or_create(Player, player).won()
        return self.state

    # --8<-- [end:call]

    # --8<-- [start:metadata]
    @action
    async def describe(self) -> dict[str, object]:
        """Say who this is."""
        return {
            "name": self.name,  # "game"
            "key": self.key,  # ("berlin", "7")
            "actor_id": self.actor_id,  # another one after each re-creation
            "region": self.region,
        }

    # --8<-- [end:metadata]
