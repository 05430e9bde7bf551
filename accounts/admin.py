"""Accounts, their keys and the people behind them."""

from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.contrib.auth.admin import GroupAdmin as BaseGroupAdmin
from django.contrib.auth.admin import UserAdmin as BaseUserAdmin
from django.contrib.auth.models import Group, Permission, User
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from unfold.admin import ModelAdmin, TabularInline
from unfold.decorators import display
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

from accounts.models import Account, ApiKey, Scope
from accounts.roles import holds_all_of

SHOWN = ("prefix", "name", "scopes", "created_at", "last_used_at", "revoked_at")


class KeyInline(TabularInline):  # type: ignore[misc]
    model = ApiKey
    fields = readonly_fields = SHOWN
    extra = 0
    can_delete = False
    hide_title = True

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Account)
class AccountAdmin(ModelAdmin):  # type: ignore[misc]
    list_display = ("name", "user", "created_at")
    search_fields = ("name", "user__username")
    autocomplete_fields = ("user",)
    inlines = (KeyInline,)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """The owner trades for the account, so naming another one is a superuser's: it would take the account over."""
        return () if obj is None or request.user.is_superuser else ("user",)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False  # Its orders refer to it. Revoking its keys and deactivating its owner stop it.


class KeyForm(forms.ModelForm):  # type: ignore[type-arg]
    scopes = forms.MultipleChoiceField(
        choices=Scope.choices, initial=[Scope.TRADE, Scope.READ], widget=UnfoldAdminCheckboxSelectMultipleWidget
    )

    by: Any = None
    """The user who issues the key; set by `ApiKeyAdmin.get_form`."""

    class Meta:
        model = ApiKey
        fields = ("account", "name", "scopes")

    def clean(self) -> dict[str, Any]:
        """Whoever holds a key acts as its account, so others than superusers issue keys of their own account only."""
        given: dict[str, Any] = super().clean() or {}
        if self.by.is_superuser:
            return given
        account = given.get("account")
        if account is not None and account.user_id != self.by.pk:
            self.add_error("account", "Only a superuser issues keys of an account that is not one's own.")
        if Scope.STAFF in given.get("scopes", ()):
            self.add_error("scopes", "Only a superuser issues staff keys.")
        return given


@admin.register(ApiKey)
class ApiKeyAdmin(ModelAdmin):  # type: ignore[misc]
    """A key is issued and revoked, never changed. Its secret is shown once, on the page that follows the issue."""

    form = KeyForm
    list_display = ("prefix", "account", "name", "shown_scopes", "created_at", "last_used_at", "state")
    list_select_related = ("account",)
    list_filter = ("account",)
    search_fields = ("prefix", "name", "account__name")
    autocomplete_fields = ("account",)
    actions = ("revoke",)

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """One button: the page with the secret follows, whichever is pressed."""
        shown = {"show_save_and_continue": False, "show_save_and_add_another": False}
        answer: HttpResponse = super().add_view(request, form_url, (extra_context or {}) | shown)
        return answer

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        form = super().get_form(request, obj, change=change, **kwargs)
        return type(form.__name__, (form,), {"by": request.user})

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return ("account", *SHOWN) if obj else ("account", "name", "scopes")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("accounts.change_apikey"))

    @display(description="scopes")
    def shown_scopes(self, key: ApiKey) -> str:
        return ", ".join(key.scopes)

    @display(description="state", label={"active": "success", "revoked": "danger"})
    def state(self, key: ApiKey) -> str:
        return "revoked" if key.revoked_at else "active"

    def save_model(self, request: HttpRequest, obj: ApiKey, form: Any, change: bool) -> None:
        key, obj.secret = ApiKey.issue(obj.account, scopes=form.cleaned_data["scopes"], name=obj.name)  # type: ignore[attr-defined]
        obj.pk, obj.prefix = key.pk, key.prefix

    def response_add(self, request: HttpRequest, obj: Any, post_url_continue: str | None = None) -> HttpResponse:
        context = {**self.admin_site.each_context(request), "title": "The new key", "key": obj}
        response = TemplateResponse(request, "admin/new_key.html", context)
        response["Cache-Control"] = "no-store"
        return response

    @admin.action(description="Revoke the chosen keys", permissions=["revoke"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> None:
        revoked = queryset.filter(revoked_at=None).update(revoked_at=timezone.now())
        self.message_user(request, f"{revoked} revoked; within five seconds no process takes them any more.")


admin.site.unregister(User)
admin.site.unregister(Group)


@admin.register(User)
class UserAdmin(BaseUserAdmin, ModelAdmin):  # type: ignore[misc, type-arg]
    """Nobody grants more than they have: others than superusers change people below them, and add them to groups below.

    Single permissions and the superuser's mark are a superuser's to give.
    """

    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    filter_horizontal = ()

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_change_permission(request, obj) and (obj is None or holds_all_of(request.user, obj))

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_delete_permission(request, obj) and (obj is None or holds_all_of(request.user, obj))

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return () if request.user.is_superuser else ("is_superuser", "user_permissions", "last_login", "date_joined")

    def user_change_password(self, request: HttpRequest, id: str, form_url: str = "") -> HttpResponse:
        """Whoever sets somebody's password acts as them, and so trades for their account: a superuser's to do."""
        person = self.get_object(request, unquote(id))
        others = person is not None and person.pk != request.user.pk and Account.objects.filter(user=person).exists()
        if others and not request.user.is_superuser:
            raise PermissionDenied
        answer: HttpResponse = super().user_change_password(request, id, form_url)
        return answer

    def formfield_for_manytomany(self, db_field: Any, request: Any, **kwargs: Any) -> Any:
        if db_field.name == "groups":
            kwargs["widget"] = UnfoldAdminCheckboxSelectMultipleWidget()
            if not request.user.is_superuser:
                kwargs["queryset"] = Group.objects.exclude(permissions__in=beyond(request.user))
        return super().formfield_for_manytomany(db_field, request, **kwargs)


def beyond(user: Any) -> QuerySet[Permission]:
    """The permissions that the user does not have."""
    held = user.get_all_permissions()
    named = Permission.objects.values_list("pk", "content_type__app_label", "codename")
    return Permission.objects.filter(pk__in=[pk for pk, app, codename in named if f"{app}.{codename}" not in held])


@admin.register(Group)
class GroupAdmin(BaseGroupAdmin, ModelAdmin):  # type: ignore[misc]
    """What a group carries reaches everybody in it, so only a superuser changes one."""

    filter_horizontal = ()

    def has_add_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.is_superuser)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.is_superuser)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.is_superuser)
