module foreshift.dev/e2e/images/pause

go 1.25.0
