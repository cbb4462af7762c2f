from django.db import migrations

# Before the vendors had dialects of their own, all of them were spoken to as OpenAI.
MOVE = """
    UPDATE gateway_provider SET dialect = slug
    WHERE dialect = 'openai' AND slug IN ('anthropic', 'gemini', 'upstage', 'deepseek')
"""
MOVE_BACK = """
    UPDATE gateway_provider SET dialect = 'openai'
    WHERE dialect = slug AND slug IN ('anthropic', 'gemini', 'upstage', 'deepseek')
"""


class Migration(migrations.Migration):
    dependencies = [("gateway", "0003_limits")]
    operations = [migrations.RunSQL(MOVE, MOVE_BACK)]
