using System.Globalization;
using System.Text;
using System.Threading.Channels;
using Coppice.Tensors;
using RabbitMQ.Client;
using RabbitMQ.Client.Events;
using RabbitMQ.Client.Exceptions;

namespace Coppice.Server.Rounds;

/// <summary>
/// A quorum queue of RabbitMQ that all processes of a run share. What is published is kept here until the broker confirmed it, and what comes is acknowledged once it was done, so that an
/// id that a process died over comes to another. A broker that is away is tried again and again, and costs time only: <see cref="Publish"/> does not wait for it.
/// </summary>
sealed class RabbitQueue : IWorkQueue
{
    const int LongestQueue = 1024;

    static readonly TimeSpan FirstWait = TimeSpan.FromMilliseconds(200), LongestWait = TimeSpan.FromSeconds(5), Confirm = TimeSpan.FromSeconds(30);

    readonly ConnectionFactory factory;
    readonly string name;
    readonly TimeProvider time;
    readonly IProgress<string>? progress;
    readonly Channel<long> outbox = Channel.CreateBounded<long>(new BoundedChannelOptions(LongestQueue) { FullMode = BoundedChannelFullMode.DropOldest });
    readonly Channel<Delivery> inbox = Channel.CreateUnbounded<Delivery>();
    readonly TaskCompletionSource reading = new(TaskCreationOptions.RunContinuationsAsynchronously);
    readonly CancellationTokenSource end = new();
    readonly Task running;
    Delivery? done;
    long? unsent;
    string? trouble;

    /// <summary>Begins to connect.</summary>
    /// <param name="address"><c>amqp://USER:PASSWORD@HOST:PORT/VHOST</c>, or <c>amqps</c>.</param>
    /// <param name="name">The queue's name, the same for all who share it.</param>
    /// <param name="progress">Told when the broker goes away and when it is back.</param>
    /// <exception cref="CoppiceException">The address cannot be one.</exception>
    public RabbitQueue(string address, string name, TimeProvider time, IProgress<string>? progress = null)
    {
        (this.name, this.time, this.progress) = (name, time, progress);
        if (!Uri.TryCreate(address, UriKind.Absolute, out Uri? uri) || uri.Scheme is not ("amqp" or "amqps"))
            throw new CoppiceException("the queue's address cannot be read, wanted amqp://USER:PASSWORD@HOST:PORT/VHOST");
        // A connection that is lost is made anew here, with its consumer.
        factory = new ConnectionFactory { Uri = uri, AutomaticRecoveryEnabled = false, RequestedHeartbeat = TimeSpan.FromSeconds(15), RequestedConnectionTimeout = TimeSpan.FromSeconds(10), ClientProvidedName = name };
        running = Run(end.Token);
    }

    /// <inheritdoc/>
    public void Publish(long round) => outbox.Writer.TryWrite(round);

    /// <inheritdoc/>
    public async Task<long?> Next(TimeSpan patience, CancellationToken cancel)
    {
        // Who never reads takes nothing away from those who do.
        reading.TrySetResult();
        if (done is { } before)
        {
            done = null;
            await Acknowledge(before, cancel);
        }
        done = await ChannelQueue.Read(inbox.Reader, delivery => delivery, patience, time, cancel);
        return done?.Round;
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        await end.CancelAsync();
        await running;
        end.Dispose();
    }

    async Task Run(CancellationToken cancel)
    {
        for (int failures = 0; !cancel.IsCancellationRequested; failures++)
        {
            try
            {
                await using IConnection connection = await factory.CreateConnectionAsync(cancel);
                await using IChannel channel = await connection.CreateChannelAsync(new CreateChannelOptions(publisherConfirmationsEnabled: true, publisherConfirmationTrackingEnabled: true), cancel);
                await channel.QueueDeclareAsync(name, durable: true, exclusive: false, autoDelete: false,
                    new Dictionary<string, object?> { ["x-queue-type"] = "quorum", ["x-max-length"] = LongestQueue }, cancellationToken: cancel);
                failures = 0;
                if (trouble is not null)
                    progress?.Report("the queue is back");
                trouble = null;
                await Serve(channel, cancel);
            }
            catch (Exception error) when (IsAway(error) && !cancel.IsCancellationRequested)
            {
                if (trouble != (trouble = error.InnerException?.Message ?? error.Message))
                    progress?.Report($"the queue is away, rounds go on more slowly: {trouble.ReplaceLineEndings(" ")}");
            }
            catch (Exception error) when (IsAway(error))
            {
                return;
            }
            TimeSpan wait = FirstWait * Math.Pow(2, Math.Min(failures, 10));
            await Task.Delay(wait < LongestWait ? wait : LongestWait, time, cancel).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    // Until the connection is lost, which is an error, or all is over.
    async Task Serve(IChannel channel, CancellationToken cancel)
    {
        using CancellationTokenSource both = CancellationTokenSource.CreateLinkedTokenSource(cancel);
        TaskCompletionSource lost = new(TaskCreationOptions.RunContinuationsAsynchronously);
        channel.ChannelShutdownAsync += (_, reason) =>
        {
            lost.TrySetException(new AlreadyClosedException(reason));
            return Task.CompletedTask;
        };
        Task[] parts = [lost.Task, Send(channel, both.Token), Consume(channel, both.Token)];
        try
        {
            await await Task.WhenAny(parts);
        }
        finally
        {
            await both.CancelAsync();
            lost.TrySetCanceled(both.Token);
            await Task.WhenAll(parts).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    async Task Send(IChannel channel, CancellationToken cancel)
    {
        BasicProperties properties = new() { Persistent = true };
        while (true)
        {
            unsent ??= await outbox.Reader.ReadAsync(cancel);
            using CancellationTokenSource patience = CancellationTokenSource.CreateLinkedTokenSource(cancel);
            patience.CancelAfter(Confirm);
            await channel.BasicPublishAsync("", name, mandatory: true, properties, Encoding.ASCII.GetBytes(unsent.Value.ToString(CultureInfo.InvariantCulture)), patience.Token);
            unsent = null;
        }
    }

    async Task Consume(IChannel channel, CancellationToken cancel)
    {
        await reading.Task.WaitAsync(cancel);
        await channel.BasicQosAsync(0, 1, global: false, cancel);
        AsyncEventingBasicConsumer consumer = new(channel);
        TaskCompletionSource ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
        consumer.ReceivedAsync += async (_, message) =>
        {
            if (long.TryParse(message.Body.Span, NumberStyles.None, CultureInfo.InvariantCulture, out long round))
                inbox.Writer.TryWrite(new Delivery(round, channel, message.DeliveryTag));
            else
                await channel.BasicRejectAsync(message.DeliveryTag, requeue: false, message.CancellationToken);
        };
        // The broker ends a consumer whose queue is gone.
        consumer.UnregisteredAsync += (_, _) =>
        {
            ended.TrySetException(new IOException("the queue was deleted"));
            return Task.CompletedTask;
        };
        await channel.BasicConsumeAsync(name, autoAck: false, consumer, cancel);
        await ended.Task.WaitAsync(cancel);
    }

    static async Task Acknowledge(Delivery delivery, CancellationToken cancel)
    {
        try
        {
            await delivery.Channel.BasicAckAsync(delivery.Tag, multiple: false, cancel);
        }
        catch (Exception error) when (IsAway(error) && !cancel.IsCancellationRequested)
        {
            // Its connection is lost, so that it comes again, to somebody: that is allowed.
        }
    }

    static bool IsAway(Exception error) => error is RabbitMQClientException or IOException or OperationCanceledException or ObjectDisposedException or TimeoutException or System.Net.Sockets.SocketException;

    sealed record Delivery(long Round, IChannel Channel, ulong Tag);
}
