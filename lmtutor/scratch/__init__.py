"""The models of chapters 02 and 03 by hand, in NumPy: every gradient written out, and checked."""

from lmtutor.scratch.bugs import BUGS, BrokenLSTM
from lmtutor.scratch.gradcheck import GradientCheck, check_gradients
from lmtutor.scratch.lstm import CharLSTM
from lmtutor.scratch.rnn import CharRNN
from lmtutor.scratch.training import adagrad, bits_per_symbol, columns, encode, softmax_loss, train
