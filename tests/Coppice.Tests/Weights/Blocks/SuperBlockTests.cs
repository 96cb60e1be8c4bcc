using System.Runtime.InteropServices;
using Coppice.Weights;
using Coppice.Weights.Blocks;

namespace Coppice.Tests.Weights.Blocks;

/// <summary>Blocks of 256 made by hand.</summary>
public class SuperBlockTests
{
    [Fact]
    public void A_hand_made_Q4_K_block_reads_as_documented()
    {
        byte[] bytes = new byte[144];
        bytes[1] = 0x40;            // d = 2
        bytes[3] = 0x38;            // dmin = 0.5
        bytes[4] = 3;               // scale of group 0 is 3
        bytes[8] = 6;               // its minimum 6
        bytes[7] = 0b10_000000;     // high bits of group 7's scale: 32
        bytes[11] = 0b01_000000;    // and of its minimum: 16
        bytes[15] = 0x59;           // the low ones: scale 9 (41 in all), minimum 5 (21)
        bytes[16] = 0x0F;           // weight 0: code 15
        bytes[143] = 0x20;          // weight 255: code 2
        float[] values = Unpack<Q4_K>(bytes);
        Assert.Equal(2 * 3 * 15 - 0.5f * 6, values[0]);
        Assert.Equal(-0.5f * 6, values[1]);
        Assert.Equal(0, values[32]);
        Assert.Equal(2 * 41 * 2 - 0.5f * 21, values[255]);
        Assert.Equal(-0.5f * 21, values[254]);
    }

    [Fact]
    public void A_hand_made_Q6_K_block_reads_as_documented()
    {
        byte[] bytes = new byte[210];
        bytes[209] = 0x38;          // d = 0.5
        bytes.AsSpan(192, 16).Fill(1);
        bytes[192] = 0xFE;          // the scale of group 0 is -2
        bytes[0] = 0x0F;            // weight 0: low bits 15
        bytes[128] = 0b11_00_00_01; // weight 0: high bits 16; weight 96: 48
        bytes[127] = 0x70;          // weight 255: low bits 7
        bytes[191] = 0b10_000000;   // weight 255: high bits 32
        float[] values = Unpack<Q6_K>(bytes);
        Assert.Equal(0.5f * -2 * (31 - 32), values[0]);
        Assert.Equal(0.5f * -2 * -32, values[1]);
        Assert.Equal(0.5f * (48 - 32), values[96]);
        Assert.Equal(0.5f * (39 - 32), values[255]);
        Assert.Equal(0.5f * -32, values[254]);
    }

    static float[] Unpack<TBlock>(byte[] bytes) where TBlock : unmanaged, IBlock<TBlock>
    {
        float[] values = new float[TBlock.Size];
        MemoryMarshal.Read<TBlock>(bytes).Unpack(values);
        return values;
    }
}
