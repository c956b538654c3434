"""cloud setup and cloud teardown, for AWS, GCP and Azure."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from datetime import timedelta
from functools import reduce
from typing import TYPE_CHECKING, Any

import click

from labelloop.cli.app import App, pass_app
from labelloop.errors import ConfigError

if TYPE_CHECKING:
    from labelloop.cloud.plan import Change, Cloud, Plan

Command = Callable[..., Any]

_BUCKET = click.option("--bucket", required=True, metavar="NAME", help="The bucket.")
_DRY_RUN = click.option("--dry-run", is_flag=True, help="Show what would change, change nothing.")
_YES = click.option("--yes", is_flag=True, help="Do not ask.")
_PREFIX = click.option("--prefix", default="", help="Only use the part of the bucket whose keys begin with it.")
_ORIGIN = click.option(
    "--origin", multiple=True, metavar="URL", help="A page that shows what is in the bucket [the annotator's].  Repeat."
)
_REGISTER = click.option("--register", is_flag=True, help="Register the bucket as the active stack's artifact store.")
_DELETE_DATA = click.option(
    "--delete-data", is_flag=True, help="Delete the bucket with every object, if it was made here."
)
_FORCE = click.option("--force", is_flag=True, help="Even while a stack uses the bucket.")


def _all(*options: Callable[[Command], Command]) -> Callable[[Command], Command]:
    return lambda command: reduce(lambda decorated, option: option(decorated), reversed(options), command)


_SETTING_UP = _all(_BUCKET, _PREFIX, _ORIGIN, _DRY_RUN, _YES, _REGISTER)
_TAKING_DOWN = _all(_BUCKET, _DRY_RUN, _YES, _DELETE_DATA, _FORCE)
_AWS = _all(
    click.option("--secret", default="aws", show_default=True, help="Secret that keeps labelloop's credentials."),
    click.option(
        "--label-studio-secret",
        default="aws_label_studio",
        show_default=True,
        help="Secret that keeps Label Studio's credentials, which only read.",
    ),
    click.option("--endpoint", default="", metavar="URL", help="A server that speaks S3, instead of AWS."),
    click.option("--iam-endpoint", default="", metavar="URL", help="A server that speaks IAM and STS, instead of AWS."),
)


@click.group()
def cloud() -> None:
    """Set up a bucket with all that labelloop needs around it, or take it away again."""


@cloud.group()
def setup() -> None:
    """Make a bucket, its CORS rule, narrow credentials and their secret. Safe to repeat."""


@cloud.group()
def teardown() -> None:
    """Take away what setup made, and only that. Safe to repeat."""


@setup.command(name="aws")
@_SETTING_UP
@click.option("--region", default="", help="Where the bucket is made [that of your AWS configuration].")
@click.option("--session", is_flag=True, help="Give Label Studio temporary credentials instead of a user of its own.")
@click.option("--session-hours", type=click.IntRange(1, 36), default=12, show_default=True, help="How long they live.")
@_AWS
@pass_app
def setup_aws(
    app: App,
    bucket: str,
    prefix: str,
    origin: tuple[str, ...],
    dry_run: bool,
    yes: bool,
    register: bool,
    region: str,
    session: bool,
    session_hours: int,
    secret: str,
    label_studio_secret: str,
    endpoint: str,
    iam_endpoint: str,
) -> None:
    """Make an S3 bucket ready for a loop, with the credentials of this shell.

    Makes what is missing: the private bucket, a CORS rule for the annotator's pages, an IAM user that may read and
    write it and one that may only read it, an access key of each, kept as secrets. Prints each change before making it.

    Example:  labelloop cloud setup aws --bucket my-loop --region eu-central-1 --register
    """
    from labelloop.cloud.aws import AwsRequest
    from labelloop.cloud.aws_account import AWS
    from labelloop.cloud.plan import check_prefix

    wanted = AwsRequest(
        bucket=bucket,
        prefix=check_prefix(prefix),
        region=region,
        origins=_origins(app, origin),
        secret=secret,
        reader_secret=label_studio_secret,
        session=session,
        lifetime=timedelta(hours=session_hours),
        identities=not endpoint or bool(iam_endpoint),
    )
    account = AWS(wanted, app.stack.secrets_manager, endpoint=endpoint, iam_endpoint=iam_endpoint)
    _set_up(app, "s3", bucket, account, dry_run=dry_run, yes=yes, register=register)


@teardown.command(name="aws")
@_TAKING_DOWN
@_AWS
@pass_app
def teardown_aws(
    app: App,
    bucket: str,
    dry_run: bool,
    yes: bool,
    delete_data: bool,
    force: bool,
    secret: str,
    label_studio_secret: str,
    endpoint: str,
    iam_endpoint: str,
) -> None:
    """Take away what setup made in AWS: keys, users, policies, our CORS rule, the secrets.

    The bucket and its objects stay, unless labelloop made it and --delete-data is given.
    """
    from labelloop.cloud.aws import AwsRequest
    from labelloop.cloud.aws_account import AWS

    wanted = AwsRequest(
        bucket=bucket,
        secret=secret,
        reader_secret=label_studio_secret,
        identities=not endpoint or bool(iam_endpoint),
    )
    account = AWS(wanted, app.stack.secrets_manager, endpoint=endpoint, iam_endpoint=iam_endpoint)
    _take_down(app, "s3", bucket, account, dry_run=dry_run, yes=yes, delete_data=delete_data, force=force)


_GCP = _all(
    click.option("--project", default="", metavar="ID", help="The project [that of your credentials]."),
    click.option("--secret", default="gcp", show_default=True, help="Secret that keeps the key."),
    click.option(
        "--endpoint", default="", metavar="URL", help="A server that speaks Cloud Storage, instead of Google."
    ),
    click.option(
        "--iam-endpoint", default="", metavar="URL", help="A server that speaks Google's IAM, instead of Google."
    ),
)


@setup.command(name="gcp")
@_SETTING_UP
@click.option("--region", default="", help="Where the bucket is made [US].")
@_GCP
@pass_app
def setup_gcp(
    app: App,
    bucket: str,
    prefix: str,
    origin: tuple[str, ...],
    dry_run: bool,
    yes: bool,
    register: bool,
    region: str,
    project: str,
    secret: str,
    endpoint: str,
    iam_endpoint: str,
) -> None:
    """Make a Google Cloud bucket ready for a loop, with your application default credentials.

    Makes what is missing: the private bucket, a CORS rule for the annotator's pages, a service account that may use
    this bucket only, a key of it, kept as a secret. Prints each change before making it.

    Example:  labelloop cloud setup gcp --project my-project --bucket my-loop --region europe-west3 --register
    """
    from labelloop.cloud.gcp import GcpRequest
    from labelloop.cloud.gcp_account import GCP
    from labelloop.cloud.plan import check_prefix

    wanted = GcpRequest(
        bucket=bucket,
        project=project,
        prefix=check_prefix(prefix),
        region=region,
        origins=_origins(app, origin),
        secret=secret,
        identities=not endpoint or bool(iam_endpoint),
    )
    account = GCP(wanted, app.stack.secrets_manager, endpoint=endpoint, iam_endpoint=iam_endpoint)
    _set_up(app, "gcp", bucket, account, dry_run=dry_run, yes=yes, register=register)


@teardown.command(name="gcp")
@_TAKING_DOWN
@_GCP
@pass_app
def teardown_gcp(
    app: App,
    bucket: str,
    dry_run: bool,
    yes: bool,
    delete_data: bool,
    force: bool,
    project: str,
    secret: str,
    endpoint: str,
    iam_endpoint: str,
) -> None:
    """Take away what setup made in Google Cloud: the service account, its binding, our CORS rule, the secret.

    The bucket and its objects stay, unless labelloop made it and --delete-data is given.
    """
    from labelloop.cloud.gcp import GcpRequest
    from labelloop.cloud.gcp_account import GCP

    wanted = GcpRequest(bucket=bucket, project=project, secret=secret, identities=not endpoint or bool(iam_endpoint))
    account = GCP(wanted, app.stack.secrets_manager, endpoint=endpoint, iam_endpoint=iam_endpoint)
    _take_down(app, "gcp", bucket, account, dry_run=dry_run, yes=yes, delete_data=delete_data, force=force)


_AZURE = _all(
    click.option(
        "--account", default="", metavar="NAME", help="The storage account [AZURE_STORAGE_ACCOUNT, or the secret's]."
    ),
    click.option(
        "--resource-group", default="", metavar="NAME", help="Look up, or make, the account there, after az login."
    ),
    click.option("--subscription", default="", metavar="ID", help="Where the resource group is [the only one]."),
    click.option("--secret", default="azure", show_default=True, help="Secret that keeps the account's key."),
    click.option(
        "--endpoint", default="", metavar="URL", help="A blob service with the account in it, such as Azurite's."
    ),
    click.option(
        "--management", default="", metavar="URL", help="Another management interface, as other clouds of Azure have."
    ),
)


@setup.command(name="azure")
@_SETTING_UP
@click.option("--region", default="", help="Where resource group and account are made, such as westeurope.")
@_AZURE
@pass_app
def setup_azure(
    app: App,
    bucket: str,
    prefix: str,
    origin: tuple[str, ...],
    dry_run: bool,
    yes: bool,
    register: bool,
    region: str,
    account: str,
    resource_group: str,
    subscription: str,
    secret: str,
    endpoint: str,
    management: str,
) -> None:
    """Make a container of Azure Blob Storage ready for a loop.

    Makes what is missing: with --resource-group, after az login, the group and the storage account; always the private
    container, a CORS rule for the annotator's pages, and a secret with a key of the account. Without --resource-group
    the account is there, and its key in AZURE_STORAGE_KEY or in the secret. Prints each change before making it.

    Example:  labelloop cloud setup azure --account myloop --resource-group loops --region westeurope --bucket my-loop
    """
    from labelloop.cloud.azure import AzureRequest
    from labelloop.cloud.azure_account import Azure
    from labelloop.cloud.plan import check_prefix

    wanted = AzureRequest(
        bucket=bucket,
        account=account or _azure_account(app, secret),
        group=resource_group,
        prefix=check_prefix(prefix),
        region=region,
        origins=_origins(app, origin),
        secret=secret,
    )
    secrets = app.stack.secrets_manager
    there = Azure(wanted, secrets, subscription=subscription, endpoint=endpoint, management=management)
    _set_up(app, "azure", bucket, there, dry_run=dry_run, yes=yes, register=register)


@teardown.command(name="azure")
@_TAKING_DOWN
@_AZURE
@pass_app
def teardown_azure(
    app: App,
    bucket: str,
    dry_run: bool,
    yes: bool,
    delete_data: bool,
    force: bool,
    account: str,
    resource_group: str,
    subscription: str,
    secret: str,
    endpoint: str,
    management: str,
) -> None:
    """Take away what setup made in Azure: our CORS rule, our notes, the secret.

    The container stays, unless labelloop made it and --delete-data is given. Then a storage account and a resource
    group that labelloop made go too, once nothing else is in them.
    """
    from labelloop.cloud.azure import AzureRequest
    from labelloop.cloud.azure_account import Azure

    wanted = AzureRequest(
        bucket=bucket, account=account or _azure_account(app, secret), group=resource_group, secret=secret
    )
    secrets = app.stack.secrets_manager
    there = Azure(wanted, secrets, subscription=subscription, endpoint=endpoint, management=management)
    _take_down(app, "azure", bucket, there, dry_run=dry_run, yes=yes, delete_data=delete_data, force=force)


def _azure_account(app: App, secret: str) -> str:
    from labelloop.errors import NotFoundError

    try:
        return os.environ.get("AZURE_STORAGE_ACCOUNT") or app.stack.secrets_manager.get(secret).get("account_name", "")
    except NotFoundError:
        return ""


def _origins(app: App, given: tuple[str, ...]) -> tuple[str, ...]:
    from labelloop.cloud.plan import check_origins
    from labelloop.cloud.use import origins_of

    return check_origins(given) if given else origins_of(app.stack, app.workspace.config)


def _set_up(app: App, flavor: str, bucket: str, account: Cloud, *, dry_run: bool, yes: bool, register: bool) -> None:
    from labelloop.cloud.use import Use, commands, enlist

    plan = account.plan_setup()
    asking = bool(plan.changes) and not yes and not dry_run and sys.stdin.isatty()
    if asking:
        _preview(plan)
        click.confirm(f"Make {len(plan.changes)} changes?", default=True, abort=True, err=True)
    _carry_out(app, account, plan, dry_run=dry_run)
    use = Use(bucket, flavor, account.store_options(), account.media_secret())
    if register and not dry_run:
        enlist(app.stack, app.workspace, use)
        _say(app, f"stack {app.stack.name!r} keeps its artifacts in {account.url}")
    left = [] if register and not dry_run else commands(app.stack, app.workspace.config, use)
    _conclude(app, account, plan, dry_run=dry_run, left=left)


def _take_down(
    app: App, flavor: str, bucket: str, account: Cloud, *, dry_run: bool, yes: bool, delete_data: bool, force: bool
) -> None:
    from labelloop.cloud.use import farewell, stacks_using

    users = stacks_using(app.workspace.config, flavor, account.url)
    if users and not force and not dry_run:
        raise ConfigError(
            f"{account.url} is the artifact store of stack {', '.join(map(repr, users))}",
            f"labelloop stack update {users[0]} -a OTHER, or --force",
        )
    plan = account.plan_teardown(delete_data=delete_data)
    if plan.changes and not dry_run and not yes:
        _preview(plan)
        _confirm(bucket)
    _carry_out(app, account, plan, dry_run=dry_run)
    gone = {change.arguments["name"] for change in plan.changes if change.step == "delete-secret"}
    _conclude(app, account, plan, dry_run=dry_run, left=farewell(app.workspace.config, gone))


def _preview(plan: Plan) -> None:
    for change in plan.changes:
        click.echo(f"  {change.words}", err=True)
    for note in plan.notes:
        click.echo(f"  note: {note}", err=True)


def _confirm(bucket: str) -> None:
    if not sys.stdin.isatty():
        raise ConfigError("taking down needs a yes, and there is no terminal to ask", "add --yes")
    typed = click.prompt(f"Type {bucket} to go on", default="", show_default=False, err=True)
    if typed.strip() != bucket:
        raise ConfigError(f"{typed!r} is not {bucket!r}: nothing was changed", "run it again, or add --yes")


def _carry_out(app: App, account: Cloud, plan: Plan, *, dry_run: bool) -> None:
    for change in plan.changes:
        _say(app, _line(change, dry_run))
        if not dry_run:
            account.act(change)


def _line(change: Change, dry_run: bool) -> str:
    return f"would {change.words}" if dry_run else change.words


def _say(app: App, words: str) -> None:
    if not app.as_json:
        click.echo(words)


def _conclude(app: App, account: Cloud, plan: Plan, *, dry_run: bool, left: Any) -> None:
    from labelloop.cli.output import show

    told = {
        "bucket": account.url,
        "dry_run": dry_run,
        "changes": [change.as_dict() for change in plan.changes],
        "notes": list(plan.notes),
        "next": list(left),
    }
    lines = [] if plan.changes else [f"{account.url}: nothing to change"]
    lines += [f"note: {note}" for note in plan.notes]
    lines += ["next:", *(f"  {command}" for command in left)] if left else []
    if lines or app.as_json:
        show(told, "\n".join(lines), as_json=app.as_json)
