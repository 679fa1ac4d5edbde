import sys

from data_pipeline.commands.verify import main

sys.exit(main())
