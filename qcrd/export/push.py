"""Uploads an exported folder to the Hugging Face Hub."""

from __future__ import annotations

from pathlib import Path

from qcrd.errors import ConfigError, StoreError


def check_id(repo: str) -> None:
    """Check the form of a repository's id.

    Raises:
        ConfigError: if it is not OWNER/NAME.
    """
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id

    try:
        validate_repo_id(repo)
    except HFValidationError as error:
        raise ConfigError(f"--push: {error}") from error
    if repo.count("/") != 1:
        raise ConfigError(f"--push: value {repo!r}; allowed: OWNER/NAME, such as me/my-student")


def push(folder: Path, repo: str, message: str, private: bool = False) -> str:
    """Create the repository where it is missing, and upload the folder in one commit.

    The token is huggingface_hub's: HF_TOKEN, or what `hf auth login` stored.

    Returns:
        Address of the commit.

    Raises:
        StoreError: if the Hub cannot be reached or refuses it.
    """
    from huggingface_hub import HfApi

    api = HfApi(library_name="qcrd")
    try:
        api.create_repo(repo, private=private, exist_ok=True)
        commit = api.upload_folder(repo_id=repo, folder_path=folder, commit_message=message)
    except Exception as error:  # of many kinds: no connection, no access, a name that is taken
        raise StoreError(
            f"--push {repo}: {error}; {folder} itself is whole. It needs a token that may write there: "
            "`hf auth login`, or HF_TOKEN"
        ) from error
    return str(commit.commit_url)
