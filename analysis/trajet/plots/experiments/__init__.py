"""Pictures of studies, searches and range tests."""
