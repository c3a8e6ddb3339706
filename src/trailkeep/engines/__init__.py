"""Other engines than DuckDB: saved queries printed in their dialects, and run on Spark."""

from trailkeep.engines.dialects import Dialect
from trailkeep.engines.portable import Untranslatable
from trailkeep.engines.printing import Printed, print_query

__all__ = ["Dialect", "Printed", "Untranslatable", "print_query"]
