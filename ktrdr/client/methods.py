"""Methods that are written once and belong to both colours of client. Imports the standard library.

Each is made from a function that says what to do (`ktrdr.client.calls`). On a client that waits (`Blocking`) the method
gives what comes of it; on one that is awaited (`Asynchronous`), something to await or to iterate over with `async for`.
Type checkers and editors see the parameters and the docstring of the function.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from functools import wraps
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, TypeVar, overload

from ktrdr.client.calls import Following, Pages, Plan

if TYPE_CHECKING:
    from ktrdr.api.views import JobView
    from ktrdr.client.job import AsyncJob, Job

P = ParamSpec("P")
T = TypeVar("T")


class Blocking:
    """Whose methods wait."""

    def _perform(self, plan: Plan[T]) -> T:
        raise NotImplementedError

    def _iterate(self, items: Pages[T] | Following[T]) -> Iterator[T]:
        raise NotImplementedError

    def _handle(self, plan: Plan[JobView]) -> Job:
        raise NotImplementedError


class Asynchronous:
    """Whose methods are awaited."""

    async def _perform(self, plan: Plan[T]) -> T:
        raise NotImplementedError

    def _iterate(self, items: Pages[T] | Following[T]) -> AsyncIterator[T]:
        raise NotImplementedError

    async def _handle(self, plan: Plan[JobView]) -> AsyncJob:
        raise NotImplementedError


class Method(Generic[P, T]):
    """Gives the result of a plan."""

    #: The method of a colour that carries the plan out, and how `help` tells what it gives.
    _carried_out_by = "_perform"
    gives = "{}"

    def __init__(self, function: Callable[..., Any], *, takes_self: bool) -> None:
        self._function = function
        self.takes_self = takes_self
        self.__doc__ = function.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self._unbound = _explained(self, self._function, name)

    def carry_out(self, caller: Any, *arguments: Any, **options: Any) -> Any:
        plan = self._function(*((caller,) if self.takes_self else ()), *arguments, **options)
        return getattr(caller, self._carried_out_by)(plan)

    @overload
    def __get__(self, caller: None, owner: type) -> Callable[..., Any]: ...
    @overload
    def __get__(self, caller: Blocking, owner: type) -> Callable[P, T]: ...
    @overload
    def __get__(self, caller: Asynchronous, owner: type) -> Callable[P, Coroutine[Any, Any, T]]: ...
    def __get__(self, caller: Any, owner: type) -> Any:
        return self._unbound if caller is None else self._unbound.__get__(caller)


class IteratingMethod(Method[P, T]):
    """Gives items one by one."""

    _carried_out_by = "_iterate"
    gives = "Iterator[{}]"

    @overload  # type: ignore[override]
    def __get__(self, caller: None, owner: type) -> Callable[..., Any]: ...
    @overload
    def __get__(self, caller: Blocking, owner: type) -> Callable[P, Iterator[T]]: ...
    @overload
    def __get__(self, caller: Asynchronous, owner: type) -> Callable[P, AsyncIterator[T]]: ...
    def __get__(self, caller: Any, owner: type) -> Any:
        return super().__get__(caller, owner)


class HandleMethod(Method[P, Any]):
    """Gives a job to go on with."""

    _carried_out_by = "_handle"
    gives = "Job"

    @overload
    def __get__(self, caller: None, owner: type) -> Callable[..., Any]: ...
    @overload
    def __get__(self, caller: Blocking, owner: type) -> Callable[P, Job]: ...
    @overload
    def __get__(self, caller: Asynchronous, owner: type) -> Callable[P, Coroutine[Any, Any, AsyncJob]]: ...
    def __get__(self, caller: Any, owner: type) -> Any:
        return super().__get__(caller, owner)


def operation(function: Callable[P, Plan[T]]) -> Method[P, T]:
    """A method of a client from a function that knows no client."""
    return Method(function, takes_self=False)


def iterating(function: Callable[P, Pages[T]] | Callable[P, Pages[T] | Following[T]]) -> IteratingMethod[P, T]:
    """A method of a client that gives items, from a function that knows no client."""
    return IteratingMethod(function, takes_self=False)


def starting(function: Callable[P, Plan[JobView]]) -> HandleMethod[P]:
    """A method of a client that gives a job, from a function that knows no client."""
    return HandleMethod(function, takes_self=False)


def method(function: Callable[Concatenate[Any, P], Plan[T]]) -> Method[P, T]:
    """Decorates what a class of both colours can do."""
    return Method(function, takes_self=True)


def iterating_method(
    function: Callable[Concatenate[Any, P], Pages[T]] | Callable[Concatenate[Any, P], Following[T]],
) -> IteratingMethod[P, T]:
    """Decorates what gives items."""
    return IteratingMethod(function, takes_self=True)


def starting_method(function: Callable[Concatenate[Any, P], Plan[JobView]]) -> HandleMethod[P]:
    """Decorates what gives another job."""
    return HandleMethod(function, takes_self=True)


def _explained(made: Method[Any, Any], function: Callable[..., Any], name: str) -> Any:
    """A function for `help`: with the docstring, the parameters, and what is given instead of what is planned."""

    @wraps(function)
    def unbound(caller: Any, *arguments: Any, **options: Any) -> Any:
        return made.carry_out(caller, *arguments, **options)

    signature = inspect.signature(function)
    parameters = list(signature.parameters.values())
    if not made.takes_self:
        parameters.insert(0, inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD))
    planned = str(signature.return_annotation).partition(" | ")[0]  # Call[T], Steps[T], Pages[T] or Following[T]
    gives = made.gives.format(planned.partition("[")[2].removesuffix("]"))
    unbound.__name__ = unbound.__qualname__ = name
    unbound.__signature__ = signature.replace(parameters=parameters, return_annotation=gives)  # type: ignore[attr-defined]
    return unbound
