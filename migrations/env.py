"""Alembic's entry: migrates over the connection that the store hands in, or over alembic.ini's URL for developers."""

from alembic import context

from ktrdr.store.database import open_engine
from ktrdr.store.schema import metadata


def migrate(connection) -> None:
    context.configure(connection=connection, target_metadata=metadata, render_as_batch=True)
    with context.begin_transaction():
        context.run_migrations()


connection = context.config.attributes.get("connection")
if connection is not None:
    migrate(connection)
else:
    with open_engine(context.config.get_main_option("sqlalchemy.url")).connect() as own:
        migrate(own)
        own.commit()
