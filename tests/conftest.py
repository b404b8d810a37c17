"""What all tests share."""

from hypothesis import HealthCheck, settings

settings.register_profile("lostfound", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("lostfound")
