from django.db import migrations

# A gateway process forgets what it cached of a key when the key's row, or the group or organization that it belongs
# to, changes. '*' empties the whole cache: rare, and cheaper than finding the keys.
SQL = """
CREATE FUNCTION accounts_notify_key() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_TABLE_NAME = 'accounts_apikey' THEN
        PERFORM pg_notify('tollgate_keys', coalesce(NEW.public_id, OLD.public_id));
    ELSE
        PERFORM pg_notify('tollgate_keys', '*');
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER accounts_apikey_notify AFTER INSERT OR UPDATE OR DELETE ON accounts_apikey
    FOR EACH ROW EXECUTE FUNCTION accounts_notify_key();
CREATE TRIGGER accounts_group_notify AFTER UPDATE OR DELETE ON accounts_group
    FOR EACH ROW EXECUTE FUNCTION accounts_notify_key();
CREATE TRIGGER accounts_organization_notify AFTER UPDATE OR DELETE ON accounts_organization
    FOR EACH ROW EXECUTE FUNCTION accounts_notify_key();
"""


class Migration(migrations.Migration):
    dependencies = [("accounts", "0001_initial")]

    operations = [migrations.RunSQL(SQL, migrations.RunSQL.noop)]
