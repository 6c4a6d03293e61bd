module skiff/integration/conformance

go 1.26.0
