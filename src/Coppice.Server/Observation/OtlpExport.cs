using Coppice.Tensors;
using OpenTelemetry;
using OpenTelemetry.Exporter;
using OpenTelemetry.Metrics;
using OpenTelemetry.Resources;
using OpenTelemetry.Trace;

namespace Coppice.Server.Observation;

/// <summary>Sends traces and metrics to an OpenTelemetry collector.</summary>
sealed class OtlpExport : IDisposable
{
    readonly TracerProvider traces;
    readonly MeterProvider metrics;

    /// <summary>Begins to send to an address: <c>http://HOST:4317</c> by gRPC, or with a port of 4318 by HTTP.</summary>
    /// <exception cref="CoppiceException">The address is none.</exception>
    public OtlpExport(string address)
    {
        if (!Uri.TryCreate(address, UriKind.Absolute, out Uri? collector) || collector.Scheme is not ("http" or "https"))
            throw new CoppiceException($"'{address}' is no collector's address, wanted http://HOST:4317 (gRPC) or http://HOST:4318 (HTTP)");
        bool isHttp = collector.Port == 4318;
        ResourceBuilder resource = ResourceBuilder.CreateDefault().AddService("coppice");
        traces = Sdk.CreateTracerProviderBuilder().SetResourceBuilder(resource).AddSource(Telemetry.Name).AddOtlpExporter(options => Set(options, "v1/traces")).Build();
        metrics = Sdk.CreateMeterProviderBuilder().SetResourceBuilder(resource).AddMeter(Telemetry.Name).AddOtlpExporter(options => Set(options, "v1/metrics")).Build();

        void Set(OtlpExporterOptions options, string path)
        {
            options.Protocol = isHttp ? OtlpExportProtocol.HttpProtobuf : OtlpExportProtocol.Grpc;
            options.Endpoint = isHttp ? new Uri(collector, path) : collector;
        }
    }

    /// <inheritdoc/>
    /// <remarks>What is not sent yet is sent first.</remarks>
    public void Dispose()
    {
        traces.Dispose();
        metrics.Dispose();
    }
}
