using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Security.Authentication;
using System.Security.Cryptography.X509Certificates;
using Coppice.Federation.Remote;
using Coppice.Server.Certificates;
using Coppice.Server.Observation;
using Coppice.Server.Rounds;
using Coppice.Server.Store;
using Coppice.Tensors;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.AspNetCore.Server.Kestrel.Https;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Coppice.Server.Http;

/// <summary>A coordinator on a network: HTTP/2 over TLS 1.3 for clients with certificates, health checks on a loopback port, and the worker that takes rounds on.</summary>
sealed class FederationServer : IAsyncDisposable
{
    readonly WebApplication app;
    readonly RoundWorker? worker;
    readonly IAssignments assignments;
    readonly Endpoints endpoints;
    readonly IRunStore store;
    readonly X509Certificate2 certificate;

    FederationServer(IAssignments assignments, RoundWorker? worker, IRunStore store, Authority authority, ServeOptions options, TimeProvider time)
    {
        (this.assignments, this.worker, this.store) = (assignments, worker, store);
        certificate = authority.Server();
        endpoints = new Endpoints(assignments, options);
        WebApplicationBuilder builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.Services.AddRoutingCore();
        if (worker is not null)
            builder.Services.AddSingleton<IHostedService>(worker);
        // A request that is under way when the server stops is finished.
        builder.Services.Configure<HostOptions>(host => host.ShutdownTimeout = TimeSpan.FromSeconds(30));
        options.Logging?.Invoke(builder.Logging);
        builder.WebHost.UseKestrelCore().UseKestrelHttpsConfiguration().ConfigureKestrel(kestrel => Configure(kestrel, options));
        app = builder.Build();

        Admission admission = new(authority, store, time);
        ILogger log = app.Services.GetRequiredService<ILoggerFactory>().CreateLogger("Coppice.Federation");
        app.Use((context, next) => context.Request.IsHttps ? Answer(context, next, admission, log) : Health(context));
        app.UseRouting();
        endpoints.Map(app);
    }

    /// <summary>Starts to serve a run.</summary>
    /// <param name="queue">Where to hear of rounds that may go on; null where others take them on.</param>
    /// <exception cref="CoppiceException">The address cannot be had, or there is no certificate for it.</exception>
    public static Task<FederationServer> Start(Coordinator coordinator, IWorkQueue? queue, IRunStore store, Authority authority, ServeOptions options, TimeProvider time, CancellationToken cancel = default) =>
        Start(new FederationServer(coordinator, new RoundWorker(coordinator, queue, options.Sweep, options.Progress), store, authority, options, time), options, cancel);

    /// <summary>Starts to serve a run that this process drives itself.</summary>
    /// <param name="store">Where clients are enrolled.</param>
    /// <exception cref="CoppiceException">The address cannot be had, or there is no certificate for it.</exception>
    public static Task<FederationServer> Start(LiveClients clients, IRunStore store, Authority authority, ServeOptions options, TimeProvider time, CancellationToken cancel = default) =>
        Start(new FederationServer(clients, null, store, authority, options, time), options, cancel);

    static async Task<FederationServer> Start(FederationServer server, ServeOptions options, CancellationToken cancel)
    {
        try
        {
            await server.app.StartAsync(cancel);
            return server;
        }
        catch (Exception error) when (error is IOException or SocketException)
        {
            await server.DisposeAsync();
            throw new CoppiceException($"--listen {options.Listen}: could not be listened on: {error.Message}", error);
        }
    }

    /// <summary>The port of the protocol.</summary>
    public int Port => PortOf("https");

    /// <summary>The port of the health checks, where there are any.</summary>
    public int HealthPort => PortOf("http");

    /// <summary>The run, when it is done or failed.</summary>
    public Task<RunRow> Over => worker!.Over;

    /// <summary>Uploads and commits that are under way.</summary>
    public int Uploading => endpoints.Uploading;

    /// <summary>Waits until every client that was here lately knows, from whichever coordinator, that the run is over, but not for long.</summary>
    public async Task Farewell(TimeSpan patience, TimeProvider time, CancellationToken cancel)
    {
        DateTimeOffset now = time.GetUtcNow();
        IReadOnlySet<string> here = assignments.Here(now - TimeSpan.FromMinutes(1));
        while (time.GetUtcNow() - now < patience && !here.IsSubsetOf(assignments.Told()))
            await Task.Delay(TimeSpan.FromMilliseconds(100), time, cancel);
    }

    /// <summary>Gives out no new work, lets requests that are under way finish, and stops.</summary>
    public async Task Stop()
    {
        endpoints.Draining = true;
        await app.StopAsync();
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        await app.DisposeAsync();
        certificate.Dispose();
    }

    int PortOf(string scheme) => app.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.Select(address => new Uri(address)).First(address => address.Scheme == scheme).Port;

    void Configure(KestrelServerOptions kestrel, ServeOptions options)
    {
        kestrel.AddServerHeader = false;
        kestrel.Limits.MaxConcurrentConnections = 4096;
        kestrel.Limits.MaxRequestBodySize = Wire.ChunkBytes;
        kestrel.Limits.MaxRequestHeadersTotalSize = 16 << 10;
        kestrel.Limits.RequestHeadersTimeout = options.Grace;
        kestrel.Limits.MinRequestBodyDataRate = new MinDataRate(options.SlowestBody, options.Grace);
        kestrel.Limits.MinResponseDataRate = new MinDataRate(options.SlowestBody, options.Grace);
        kestrel.Limits.Http2.MaxStreamsPerConnection = 16;
        kestrel.Limits.Http2.KeepAlivePingDelay = TimeSpan.FromSeconds(30);
        kestrel.Listen(options.Listen, listen =>
        {
            listen.Protocols = HttpProtocols.Http2;
            listen.UseHttps(new HttpsConnectionAdapterOptions
            {
                ServerCertificate = certificate,
                SslProtocols = SslProtocols.Tls13,
                HandshakeTimeout = options.Grace,
                // The handshake proves that the key is there. Whose it is, Admission judges, which can say why not and note it.
                ClientCertificateMode = ClientCertificateMode.AllowCertificate,
                ClientCertificateValidation = (_, _, _) => true,
            });
        });
        if (options.HealthPort is { } port)
            kestrel.Listen(new IPEndPoint(IPAddress.Loopback, port), listen => listen.Protocols = HttpProtocols.Http1);
    }

    static async Task Answer(HttpContext context, RequestDelegate next, Admission admission, ILogger log)
    {
        string client = "";
        long start = Stopwatch.GetTimestamp();
        using Activity? request = Telemetry.Source.StartActivity($"{context.Request.Method} {context.Request.Path}", ActivityKind.Server);
        try
        {
            context.Items[typeof(Admission)] = client = admission.Admit(context.Connection.ClientCertificate);
            await next(context);
        }
        catch (RefusedException refused)
        {
            await Refuse(context, refused.Status, refused.Message, refused.Offset, refused.RetryAfter);
        }
        catch (Microsoft.AspNetCore.Http.BadHttpRequestException bad)
        {
            await Refuse(context, bad.StatusCode, bad.Message, null, null);
        }
        catch (CoppiceException failed)
        {
            log.Failed(failed, failed.Message);
            await Refuse(context, StatusCodes.Status500InternalServerError, "the server could not do it", null, retryAfter: 5);
        }
        finally
        {
            request?.SetTag("client", client);
            request?.SetTag("status", context.Response.StatusCode);
            Telemetry.Request(context.Request.Method, context.Response.StatusCode, Stopwatch.GetElapsedTime(start));
            log.Answered(context.Request.Method, context.Request.Path, client, context.Response.StatusCode);
        }
    }

    static Task Refuse(HttpContext context, int status, string message, long? offset, int? retryAfter)
    {
        if (context.Response.HasStarted)
        {
            context.Abort();
            return Task.CompletedTask;
        }
        context.Response.Clear();
        context.Response.StatusCode = status;
        if (offset is { } at)
            context.Response.Headers[Wire.OffsetHeader] = at.ToString(CultureInfo.InvariantCulture);
        if (retryAfter is { } seconds)
            context.Response.Headers.RetryAfter = seconds.ToString(CultureInfo.InvariantCulture);
        return context.Response.WriteAsJsonAsync(new ErrorInfo(message), WireJson.Default.ErrorInfo, contentType: "application/json", context.RequestAborted);
    }

    // Alive as long as it answers; ready while it gives out work and the store answers as well.
    Task Health(HttpContext context)
    {
        context.Response.StatusCode = context.Request.Path.Value switch
        {
            "/health/live" => StatusCodes.Status200OK,
            "/health/ready" => IsReady() ? StatusCodes.Status200OK : StatusCodes.Status503ServiceUnavailable,
            _ => StatusCodes.Status404NotFound,
        };
        return Task.CompletedTask;
    }

    bool IsReady()
    {
        try
        {
            return !endpoints.Draining && assignments.IsReady;
        }
        catch (CoppiceException away)
        {
            app.Services.GetRequiredService<ILoggerFactory>().CreateLogger("Coppice.Federation").Failed(away, away.Message);
            return false;
        }
    }
}

static partial class FederationLog
{
    [LoggerMessage(1, LogLevel.Information, "{Method} {Path} of '{Client}': {Status}")]
    public static partial void Answered(this ILogger log, string method, string path, string client, int status);

    [LoggerMessage(2, LogLevel.Error, "{Reason}")]
    public static partial void Failed(this ILogger log, Exception error, string reason);
}
