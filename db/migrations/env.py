"""Run by Alembic inside the transaction that ``db.migrate`` has begun."""

from alembic import context

from db.tables import Base

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=Base.metadata,
    render_as_batch=True,
    transactional_ddl=True,  # true of SQLite as well, because db.engine says BEGIN itself
    compare_type=False,  # STRICT tables know five types; the names of the columns are compared
)
with context.begin_transaction():
    context.run_migrations()
