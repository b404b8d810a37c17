"""The licensing backend in memory: the modules of `activities/licensing` over tables instead of SQL."""
