-- Whoever may not sign in any more shall not call models either, whichever way he was locked out.
CREATE FUNCTION accounts_revoke_keys_of_user() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE accounts_apikey SET revoked_at = now() WHERE created_by_id = NEW.id AND revoked_at IS NULL;
    RETURN NULL;
END $$;
CREATE TRIGGER accounts_user_revoke_keys AFTER UPDATE OF is_active ON accounts_user
    FOR EACH ROW WHEN (OLD.is_active AND NOT NEW.is_active) EXECUTE FUNCTION accounts_revoke_keys_of_user();

-- An archived group has no working keys. FOR SHARE waits for whoever is archiving it right now, and then looks again.
CREATE FUNCTION accounts_refuse_key_of_archived() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM 1 FROM accounts_group WHERE id = NEW.group_id AND archived_at IS NULL FOR SHARE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'group % takes no keys: it is archived', NEW.group_id USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER accounts_apikey_of_living_group BEFORE INSERT ON accounts_apikey
    FOR EACH ROW EXECUTE FUNCTION accounts_refuse_key_of_archived();
