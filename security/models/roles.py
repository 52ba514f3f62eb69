"""Model for the permissions that a version of the portal has given to a role."""

from django.db import models


class RoleGrant(models.Model):
    """A permission that a role was given once. It is not given again if an administrator has removed it."""

    role = models.CharField(max_length=150)
    permission = models.CharField(max_length=200, help_text="app_label.codename")

    class Meta:
        default_permissions = ()
        constraints = (
            models.UniqueConstraint(fields=["role", "permission"], name="role_granted_once"),
        )

    def __str__(self) -> str:
        return f"{self.permission} to {self.role}"
