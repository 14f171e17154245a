import sys
from pathlib import Path

# Test files are imported one by one (importlib mode) and cannot see their neighbours.
sys.path.insert(0, str(Path(__file__).parent / "src"))
