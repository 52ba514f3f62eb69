"""URLs of the sign-in and enrolment pages, under /admin/ and before the admin's own."""

from django.urls import path

from security import enrolment_views, views

app_name = "security"
urlpatterns = [
    path("login/code/", views.code, name="code"),
    path("login/recovery/", views.recovery, name="recovery"),
    # Before the admin's own logout, which would not let an unverified session sign out.
    path("logout/", views.logout, name="logout"),
    path("step-up/", views.step_up, name="step_up"),
    path("enrol/", enrolment_views.enrol, name="enrol"),
    path("enrol/password/", enrolment_views.choose_password, name="choose_password"),
    path("enrol/link/<str:token>/", enrolment_views.open_link, name="enrol_link"),
    path("recovery-codes/", enrolment_views.recovery_codes, name="recovery_codes"),
    path("shown-once/", enrolment_views.shown_once, name="shown_once"),
]
