"""The models of security: credentials and sessions, flags, blocks, roles and SIEM destinations."""

from security.models.blocks import AllowEntry, Block, BlockOrigin, SubjectKind
from security.models.credentials import (
    ApiToken,
    ApiTokenQuerySet,
    EnrolmentLink,
    RecoveryCode,
    RecoveryDevice,
    Scope,
    TotpDevice,
)
from security.models.flag_services import FlagService
from security.models.flags import DetectorCursor, Flag, FlagStatus, RuleSetting, SeenClient
from security.models.roles import RoleGrant
from security.models.sessions import Session
from security.models.siem import SiemDestination, SiemFormat

__all__ = [
    "AllowEntry",
    "ApiToken",
    "ApiTokenQuerySet",
    "Block",
    "BlockOrigin",
    "DetectorCursor",
    "EnrolmentLink",
    "Flag",
    "FlagService",
    "FlagStatus",
    "RecoveryCode",
    "RecoveryDevice",
    "RoleGrant",
    "RuleSetting",
    "Scope",
    "SeenClient",
    "Session",
    "SiemDestination",
    "SiemFormat",
    "SubjectKind",
    "TotpDevice",
]
