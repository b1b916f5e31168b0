"""The door for scripts: everything that a screen can do, and the same numbers. ``python manage.py --help``."""

from __future__ import annotations

import typer

from commands import audit, cases, images, model, people, plan, protocol, results, server, store, study
from commands.terminal import errors
from core.errors import ReadingRoomError
from core.runtime import configure_threads, keep_caches_in
from core.settings import get_settings

app = typer.Typer(
    help="Reading Room: blinded reader studies of medical images against an AI model. Research use only.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.command()(server.demo)
app.command()(server.serve)
app.command()(store.backup)
app.command()(store.restore)
app.command()(store.migrate)
app.command("import")(cases.import_)
app.command()(cases.phantoms)
app.command()(model.predict)
app.command("simulate-readers")(model.simulate)
app.command()(results.results)
app.command()(results.export)
app.command()(results.report)
app.command("verify-bundle")(results.verify_bundle)
app.command()(results.analyse)
app.command()(plan.plan)
app.command("reproduce-paper")(results.reproduce_paper_)
app.command("audit-blinding")(audit.audit_blinding_)
app.add_typer(study.app, name="study")
app.add_typer(protocol.app, name="protocol")
app.add_typer(people.app, name="person")
app.add_typer(model.app, name="model")
app.add_typer(audit.app, name="audit")
app.add_typer(store.app, name="store")
app.add_typer(images.app, name="images")


def main() -> None:
    """Run a command; an expected error ends with its own words and status 2, without a traceback."""
    try:
        configure_threads(get_settings().thread_count)
        keep_caches_in(get_settings().cache_folder)
        app()
    except ReadingRoomError as error:
        errors.print(f"[bold red]Error[/] ({error.code}): ", end="")
        errors.print(str(error), markup=False, highlight=False, soft_wrap=True)
        raise SystemExit(2) from None
    except OSError as error:  # a file or folder that cannot be read or written, a full disk
        place = f" at {error.filename}" if error.filename is not None else ""
        text = f"Error (system): {error.strerror or error}{place}. Fix: check the place, its rights and its free space."
        errors.print(text, markup=False, highlight=False, soft_wrap=True)
        raise SystemExit(2) from None


if __name__ == "__main__":
    main()
