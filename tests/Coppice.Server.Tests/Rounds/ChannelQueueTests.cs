using Coppice.Server.Rounds;

namespace Coppice.Server.Tests.Rounds;

public sealed class ChannelQueueTests : WorkQueueContract
{
    internal override IWorkQueue Open() => new ChannelQueue(TimeProvider.System);
}
