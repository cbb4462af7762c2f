"""What serializers of the management API have in common."""

from typing import Any

from rest_framework import serializers

UNKNOWN = "This field is not known here."


class StrictSerializer(serializers.Serializer[Any]):
    """Refuses fields that it does not know: a misspelt limit must not be taken for none."""

    def to_internal_value(self, data: Any) -> Any:
        """Raises ValidationError that names every unknown field, beside what else is wrong."""
        unknown = {}
        if isinstance(data, dict):
            known = {name for name, field in self.fields.items() if not field.read_only}
            unknown = {str(name)[:60]: [UNKNOWN] for name in data if name not in known}
        try:
            values = super().to_internal_value(data)
        except serializers.ValidationError as error:
            if isinstance(error.detail, dict):
                raise serializers.ValidationError({**error.detail, **unknown}) from None
            raise
        if unknown:
            raise serializers.ValidationError(unknown)
        return values
