.PHONY: build test test-all format pack quickstart

build:
	dotnet build -c Release

# .NET's tests; those that need PostgreSQL or RabbitMQ are skipped unless eval "$(tests/servers/start)" came before
test:
	dotnet test -c Release

# and other programs that read our files: needs node 20 or later
test-all: test
	tests/interop/run

format:
	dotnet format

pack:
	dotnet pack src/Coppice -c Release -o artifacts
	dotnet pack src/Coppice.Cli -c Release -o artifacts

quickstart:
	dotnet run --project src/Coppice.Cli -c Release -- quickstart
