"""Which permissions each role has been given by a version of the portal."""

from django.db import models


class RoleGrant(models.Model):
    """A permission that a role was given once. It is not given again: whoever took it away meant it."""

    role = models.CharField(max_length=150)
    permission = models.CharField(max_length=200, help_text="app_label.codename")

    class Meta:
        default_permissions = ()
        constraints = (
            models.UniqueConstraint(fields=["role", "permission"], name="role_granted_once"),
        )

    def __str__(self) -> str:
        return f"{self.permission} to {self.role}"
