"""How long pictures and uploads are kept. Pure."""

PICTURE_DAYS = 7
UPLOAD_S = 3600
# An upload's file stays longer than the upload can be named, for the tasks that named it in time.
UPLOAD_GRACE_S = 2 * 3600
