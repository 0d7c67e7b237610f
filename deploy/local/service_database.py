"""Where a service's database is, for whoever looks in from outside the platform's processes."""

from collections.abc import Mapping

from deploy.local.postgres import PostgresServer
from deploy.local.problem import PlainProblem
from deploy.local.state_folder import StateFolder


def find_database_url(service: str, *, state: StateFolder, environment: Mapping[str, str]) -> str:
    """DATABASE_URL_<SERVICE> if that is set, else the service's own login on the network that runs on `state`.

    Raises: PlainProblem when neither is there. Nothing is created or started.
    """
    variable = f"DATABASE_URL_{service.upper()}"
    if url := environment.get(variable):
        return url
    if state.holder() is None:
        raise PlainProblem("Nothing runs here.", f"Start it first (make run), or set {variable}.")
    if not (state.path / "postgres.location").exists():
        raise PlainProblem("The network that runs here has no PostgreSQL of its own.", f"Set {variable} as it was.")
    return PostgresServer.at(state.path).url(login=f"tributary_{service}", database=f"tributary_{service}")
