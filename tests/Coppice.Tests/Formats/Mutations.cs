using Coppice.Formats;
using Coppice.Tensors;

namespace Coppice.Tests.Formats;

/// <summary>Damages a good file in seeded ways and checks that a reader either reads it or says in one <see cref="CoppiceException"/> why not.</summary>
static class Mutations
{
    public static void Check(byte[] good, string path, int seed, int rounds, Action<string> read)
    {
        Random random = new(seed);
        int refused = 0;
        for (int round = 0; round < rounds; round++)
        {
            File.WriteAllBytes(path, Damage.Of(good, random));
            long before = GC.GetAllocatedBytesForCurrentThread();
            try
            {
                read(path);
            }
            catch (CoppiceException error)
            {
                Assert.DoesNotContain('\n', error.Message);
                refused++;
            }
            long allocated = GC.GetAllocatedBytesForCurrentThread() - before;
            Assert.True(allocated < 4_000_000, $"round {round} of seed {seed} allocated {allocated:N0} bytes for a file of {good.Length}");
        }
        Assert.True(refused > rounds / 4, $"only {refused} of {rounds} damaged files were refused: the damage does not bite");
    }

    /// <summary>The same for each of some files of a model's folder, the others being whole, which is opened and read to the last tensor.</summary>
    public static void CheckFolder(TemporaryFolder folder, string[] files, int seed, int rounds)
    {
        foreach (string name in files)
        {
            byte[] good = File.ReadAllBytes(folder[name]);
            Check(good, folder[name], seed++, rounds, _ =>
            {
                using ICheckpoint model = Checkpoint.Open(folder.Path);
                foreach (string tensor in model.Names)
                {
                    model.ShapeOf(tensor);
                    model.ReadTensor(tensor);
                }
            });
            File.WriteAllBytes(folder[name], good);
        }
    }
}
