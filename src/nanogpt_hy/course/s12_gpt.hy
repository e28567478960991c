"Step 12: the whole model: embedding, blocks, a last layer norm, and the
language-model head.

The lecture scales it up to 6 layers, 6 heads, 384 channels, 256 tokens of
context and a dropout of 0.2, with batches of 64 and a learning rate of 3e-4:
10.8 million weights, and a validation loss of 1.48 on Shakespeare."

(import  torch.nn :as nn
         nanogpt-hy.course.s07-embed [LanguageModel]
         nanogpt-hy.course.s11-block [Block stack])

(defn gpt-body [c]
  "(B T C) -> (B T C): what a GPT has between embedding and lm-head."
  (nn.Sequential
    (stack c.n-layer (fn [] (Block c.n-embd c.n-head :dropout c.dropout)))
    (nn.LayerNorm c.n-embd)))

(defclass GPT [LanguageModel]
  "(B T) -> (B T V): the generative pre-trained transformer of config C, not
  yet trained."
  (defn __init__ [self c]
    (.__init__ (super) c gpt-body)))

(defn normal-init [layer]
  "Draw the weights of one layer anew, N(0, 0.02), biases 0, as GPT-2 does;
  used as (.apply model normal-init). torch's own draws are larger: a model
  starts worse than guessing."
  (for [[name weights] (.named-parameters layer :recurse False)
        :if (isinstance layer #(nn.Linear nn.Embedding))]
    (if (= name "bias")
      (nn.init.zeros_ weights)
      (nn.init.normal_ weights :std 0.02))))
