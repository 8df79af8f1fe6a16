"""State machines as tables: (state, event) → state. An event that is not in the table changes nothing and raises."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from kernel.errors import Problem

S = TypeVar("S", bound=str)
E = TypeVar("E", bound=str)


class IllegalTransition(Problem):
    """The event does not fit the state; nothing changed."""

    def __init__(self, machine: str, state: str, event: str, allowed: list[str]) -> None:
        can = f"it can {', '.join(allowed)}" if allowed else "it is finished"
        super().__init__("illegal_transition", f"A {machine} that is {state} can't {event}; {can}.")
        self.state, self.event = state, event


@dataclass(frozen=True)
class Machine(Generic[S, E]):
    """A named transition table."""

    name: str
    initial: S
    table: Mapping[tuple[S, E], S]

    def next(self, state: S, event: E) -> S:
        """Return the state after `event`; raise `IllegalTransition` if the table has no such row."""
        try:
            return self.table[(state, event)]
        except KeyError:
            raise IllegalTransition(self.name, state, event, [e for s, e in self.table if s == state]) from None

    def allows(self, state: S, event: E) -> bool:
        """Say whether `event` is possible in `state`."""
        return (state, event) in self.table

    def final_states(self) -> set[S]:
        """Return the states that no event leaves."""
        return set(self.table.values()) - {state for state, _ in self.table}

    def mermaid(self) -> str:
        """Return the diagram of the table for the documentation."""
        rows = [f"    [*] --> {self.initial}"]
        rows += [f"    {state} --> {after}: {event}" for (state, event), after in self.table.items()]
        rows += [f"    {state} --> [*]" for state in sorted(self.final_states())]
        return "stateDiagram-v2\n" + "\n".join(rows)
