-- What a promotion is stays as it is; what is left of it changes, and its end may be brought forward. What it paid is
-- written once.
CREATE TRIGGER billing_promotion_same BEFORE UPDATE ON billing_promotion
    FOR EACH ROW WHEN ((NEW.id, NEW.wallet_id, NEW.amount_nanos, NEW.reason, NEW.started_at)
          IS DISTINCT FROM (OLD.id, OLD.wallet_id, OLD.amount_nanos, OLD.reason, OLD.started_at)
          OR NEW.expires_at > OLD.expires_at)
    EXECUTE FUNCTION billing_refuse();
CREATE TRIGGER billing_promotion_stays BEFORE DELETE ON billing_promotion
    FOR EACH ROW EXECUTE FUNCTION billing_refuse();
CREATE TRIGGER billing_promotion_kept BEFORE TRUNCATE ON billing_promotion
    FOR EACH STATEMENT EXECUTE FUNCTION billing_refuse();
CREATE TRIGGER billing_promotionuse_immutable BEFORE UPDATE OR DELETE ON billing_promotionuse
    FOR EACH ROW EXECUTE FUNCTION billing_refuse();
CREATE TRIGGER billing_promotionuse_kept BEFORE TRUNCATE ON billing_promotionuse
    FOR EACH STATEMENT EXECUTE FUNCTION billing_refuse();

-- What a code gives is what it gave when it was made, and a redemption has happened.
CREATE TRIGGER billing_codebatch_immutable BEFORE UPDATE OR DELETE ON billing_codebatch
    FOR EACH ROW EXECUTE FUNCTION billing_refuse();
CREATE TRIGGER billing_code_same BEFORE UPDATE ON billing_code
    FOR EACH ROW WHEN ((NEW.id, NEW.batch_id, NEW.digest, NEW.last_four, NEW.uses_max)
          IS DISTINCT FROM (OLD.id, OLD.batch_id, OLD.digest, OLD.last_four, OLD.uses_max) OR NEW.uses < OLD.uses)
    EXECUTE FUNCTION billing_refuse();
CREATE TRIGGER billing_code_stays BEFORE DELETE ON billing_code
    FOR EACH ROW EXECUTE FUNCTION billing_refuse();
CREATE TRIGGER billing_redemption_immutable BEFORE UPDATE OR DELETE ON billing_redemption
    FOR EACH ROW EXECUTE FUNCTION billing_refuse();
CREATE TRIGGER billing_redemption_kept BEFORE TRUNCATE ON billing_redemption
    FOR EACH STATEMENT EXECUTE FUNCTION billing_refuse();
