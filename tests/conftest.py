"""What holds for every test."""

from hypothesis import HealthCheck, settings

# How quick a machine is says nothing about a rule: no test may fail because another program took
# the processor while its examples were drawn.
settings.register_profile(
    "meshpacs", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile("meshpacs")
