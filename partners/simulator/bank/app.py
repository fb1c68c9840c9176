"""The application: the bank's calls on one FastAPI app, made anew for each set of settings."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from partners.simulator.bank import api, control
from partners.simulator.bank.bank import open_bank
from partners.simulator.bank.settings import BankSettings
from partners.simulator.bank.wire import Problem


def create_app(settings: BankSettings) -> FastAPI:
    """Return the bank as an application; its file is open while the application runs."""

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with open_bank(settings) as bank:
            app.state.bank = bank
            yield

    app = FastAPI(title="The simulated bank", lifespan=lifespan, redirect_slashes=False)
    app.include_router(api.open_router)
    app.include_router(api.router)
    app.include_router(control.router)
    app.exception_handler(Problem)(_problem)
    app.exception_handler(RequestValidationError)(_invalid)
    app.exception_handler(HTTPException)(_http)
    return app


async def _problem(_request: Request, problem: Problem) -> JSONResponse:
    headers = {"Connection": "close"} if problem.status == 413 else {}
    return JSONResponse(problem.body, problem.status, headers)


async def _invalid(_request: Request, error: RequestValidationError) -> JSONResponse:
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    return JSONResponse({"code": "invalid_request", "message": f"{where}: {first['msg']}"}, 400)


async def _http(_request: Request, error: HTTPException) -> JSONResponse:
    code = "not_found" if error.status_code == 404 else "invalid_request"
    return JSONResponse({"code": code, "message": error.detail}, error.status_code)
