import sys

from data_pipeline.verify.command import main

sys.exit(main())
