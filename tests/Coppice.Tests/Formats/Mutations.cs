using Coppice.Formats;
using Coppice.Tensors;

namespace Coppice.Tests.Formats;

/// <summary>Damages a good file in seeded ways and checks that a reader either reads it or says in one <see cref="CoppiceException"/> why not.</summary>
static class Mutations
{
    static readonly byte[] Nasty = [0, 1, 2, 9, 0x22, 0x2C, 0x30, 0x39, 0x5B, 0x5C, 0x7B, 0x7F, 0x80, 0xFF];

    public static void Check(byte[] good, string path, int seed, int rounds, Action<string> read)
    {
        Random random = new(seed);
        int refused = 0;
        for (int round = 0; round < rounds; round++)
        {
            File.WriteAllBytes(path, Damage(good, random));
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

    static byte[] Damage(byte[] good, Random random)
    {
        List<byte> bytes = [.. good];
        // The head of a file is where the structure is.
        int head = Math.Min(bytes.Count, 600);
        for (int times = random.Next(1, 4); times > 0; times--)
        {
            int at = random.Next(random.Next(4) == 0 ? bytes.Count : Math.Min(head, bytes.Count));
            switch (random.Next(5))
            {
                case 0: bytes[at] = (byte)random.Next(256); break;
                case 1: bytes[at] = Nasty[random.Next(Nasty.Length)]; break;
                case 2: bytes.RemoveAt(at); break;
                case 3: bytes.Insert(at, Nasty[random.Next(Nasty.Length)]); break;
                default: bytes.RemoveRange(at, Math.Min(bytes.Count - at, random.Next(1, 64))); break;
            }
            if (bytes.Count == 0)
                break;
        }
        return [.. bytes];
    }
}
