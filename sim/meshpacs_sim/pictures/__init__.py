"""Pictures of numbers with intervals: given values, it draws; it measures nothing itself.

Only `sheet` imports matplotlib, and only when the first picture is drawn.
"""
