"""Gives each action a number, so that rules in a SIEM do not depend on names (pure).

A number never changes, and that of a removed action is never reused. The first two digits are the
group.
"""

CODES: dict[str, int] = {
    "auth.password_accepted": 1001, "auth.login_failed": 1002, "auth.login_succeeded": 1003, "auth.logout": 1004,
    "auth.session_created": 1005, "auth.session_revoked": 1006, "auth.reauth_succeeded": 1007,
    "auth.reauth_failed": 1008, "auth.enrolment_link_created": 1009,
    "mfa.enrolled": 1101, "mfa.verified": 1102, "mfa.failed": 1103, "mfa.removed": 1104, "mfa.reset_by_admin": 1105,
    "mfa.recovery_code_used": 1106, "mfa.recovery_codes_regenerated": 1107,
    "password.changed": 1201, "password.change_failed": 1202,
    "user.created": 1301, "user.updated": 1302, "user.deleted": 1303,
    "role.created": 1401, "role.updated": 1402, "role.deleted": 1403, "role.granted": 1404, "role.revoked": 1405,
    "role.extended": 1406,
    "token.created": 1501, "token.revoked": 1502, "token.rejected": 1503, "token.new_client": 1504,
    "permission.denied": 1601, "ratelimit.exceeded": 1602,
    "input.rejected": 1701, "input.suspicious": 1702,
    "detection.raised": 1801, "detection.assigned": 1802, "detection.confirmed": 1803, "detection.dismissed": 1804,
    "block.added": 1901, "block.removed": 1902, "block.enforced": 1903, "block.synchronised": 1904,
    "block.forgotten": 1905, "block.withheld": 1906, "allow.added": 1907, "allow.removed": 1908,
    "audit.partitions_created": 2001, "audit.pruned": 2002, "audit.prune_withheld": 2003,
    "audit.export_started": 2004, "audit.exported": 2005, "audit.export_failed": 2006, "audit.export_cancelled": 2007,
    "audit.filter_created": 2008, "audit.filter_changed": 2009, "audit.filter_deleted": 2010, "data.exported": 2011,
    "object.created": 2101, "object.updated": 2102, "object.deleted": 2103, "config.changed": 2104,
    "alert.acknowledged": 3001, "alert.unacknowledged": 3002, "alert.assigned": 3003, "alert.commented": 3004,
    "alert.silenced": 3005,
    "silence.created": 3101, "silence.changed": 3102, "silence.expired": 3103, "silence.failed": 3104,
    "error.resolved": 3201, "error.ignored": 3202, "error.reopened": 3203, "error.assigned": 3204,
    "error.unassigned": 3205,
    "channel.url_changed": 3301, "channel.tested": 3302, "channel.test_failed": 3303, "notification.requeued": 3304,
    "notification.forgotten": 3305,
    "integration.test_failed": 3401, "check.run": 3402, "deploy.recorded": 3403, "rule.exported": 3404,
    "search.created": 3501, "search.changed": 3502, "search.deleted": 3503,
    "system.demo_seeded": 9001,
}  # fmt: skip


def code(action: str) -> str:
    """Return the code of an action of the portal; empty for an unknown one."""
    return str(CODES.get(action, ""))
